"""Proxmox VE 8.4's privileges and built-in roles (as `GET /access/roles` lists them)."""

from __future__ import annotations

_VM_USER = {"VM.Audit", "VM.Backup", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.PowerMgmt"}
_VM_ADMIN = _VM_USER | {
    *("VM.Allocate", "VM.Clone", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory"),
    *("VM.Config.Network", "VM.Config.Options", "VM.Migrate", "VM.Monitor", "VM.Snapshot", "VM.Snapshot.Rollback"),
}
_STORE_USER = {"Datastore.AllocateSpace", "Datastore.Audit"}
_STORE_ADMIN = _STORE_USER | {"Datastore.Allocate", "Datastore.AllocateTemplate"}
_SDN_USER = {"SDN.Audit", "SDN.Use"}
_SDN_ADMIN = _SDN_USER | {"SDN.Allocate"}
_MAP_USER = {"Mapping.Audit", "Mapping.Use"}
_POOL_ADMIN = {"Pool.Allocate", "Pool.Audit"}
_SYS_ADMIN = {"Sys.Audit", "Sys.Console", "Sys.Syslog"}
_USER_ADMIN = {"Group.Allocate", "Realm.AllocateUser", "User.Modify"}
_ADMIN = _VM_ADMIN | _STORE_ADMIN | _SDN_ADMIN | _MAP_USER | _POOL_ADMIN | _SYS_ADMIN | _USER_ADMIN
_ROOT_ONLY = {
    *("Mapping.Modify", "Permissions.Modify", "Realm.Allocate"),
    *("Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"),
}

ALL = frozenset(_ADMIN | _ROOT_ONLY)
"""Every privilege there is."""

ROLES: dict[str, frozenset[str]] = {
    "Administrator": ALL,
    "NoAccess": frozenset(),
    "PVEAdmin": frozenset(_ADMIN),
    "PVEAuditor": frozenset({"Datastore.Audit", "Mapping.Audit", "Pool.Audit", "SDN.Audit", "Sys.Audit", "VM.Audit"}),
    "PVEDatastoreAdmin": frozenset(_STORE_ADMIN),
    "PVEDatastoreUser": frozenset(_STORE_USER),
    "PVEMappingAdmin": frozenset(_MAP_USER | {"Mapping.Modify"}),
    "PVEMappingUser": frozenset(_MAP_USER),
    "PVEPoolAdmin": frozenset(_POOL_ADMIN),
    "PVEPoolUser": frozenset({"Pool.Audit"}),
    "PVESDNAdmin": frozenset(_SDN_ADMIN),
    "PVESDNUser": frozenset(_SDN_USER),
    "PVESysAdmin": frozenset(_SYS_ADMIN),
    "PVETemplateUser": frozenset({"VM.Audit", "VM.Clone"}),
    "PVEUserAdmin": frozenset(_USER_ADMIN),
    "PVEVMAdmin": frozenset(_VM_ADMIN),
    "PVEVMUser": frozenset(_VM_USER),
}
"""The roles that cannot be changed."""
