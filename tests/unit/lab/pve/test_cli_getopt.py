"""Options as Perl's Getopt::Long reads them; what it says was taken from Getopt::Long 2.52 itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxhermes.lab.pve.cli.getopt import Kind, Parsed, parse
from proxhermes.lab.pve.errors import PveError

KINDS = {
    "vmid": Kind.VALUE, "net0": Kind.VALUE, "net1": Kind.VALUE, "flag": Kind.BOOLEAN, "list": Kind.LIST,
}  # fmt: skip


@pytest.mark.parametrize(
    ("args", "options", "arguments", "complaints"),
    [
        (["--VMID", "3"], {"vmid": "3"}, [], []),
        (["-vm=3"], {"vmid": "3"}, [], []),
        (["a", "--vmid", "3", "b"], {"vmid": "3"}, ["a", "b"], []),
        (["--", "--vmid", "3"], {}, ["--vmid", "3"], []),
        (["--net", "x"], {}, ["x"], ["Option net is ambiguous (net0, net1)"]),
        (["--net0="], {}, [], ["Option net0 requires an argument"]),
        (["--net0"], {}, [], ["Option net0 requires an argument"]),
        (["-", "--net0", "--", "a"], {"net0": "--"}, ["-", "a"], []),
        (["--flag", "--vmid", "1"], {"flag": "1", "vmid": "1"}, [], []),
        (["--flag=", "a"], {"flag": "1"}, ["a"], []),
        (["--flag", "off"], {"flag": "0"}, [], []),
        (["--list", "a", "--list=b"], {"list": "a,b"}, [], []),
        (["--Foo", "1"], {}, ["1"], ["Unknown option: foo"]),
        (["--foo=1", "--bar", "x"], {}, ["x"], ["Unknown option: foo", "Unknown option: bar"]),
        (["--=x"], {}, [], ["Unknown option: =x"]),
        (["---foo"], {}, [], ["Unknown option: -foo"]),
        (["+vmid"], {}, ["+vmid"], []),
        (["--vmid", "a=b=c"], {"vmid": "a=b=c"}, [], []),
    ],
)
def test_reads_as_getopt_long(
    args: list[str], options: dict[str, str], arguments: list[str], complaints: list[str]
) -> None:
    assert parse(args, KINDS) == Parsed(options, arguments, complaints)


def test_a_boolean_that_is_none() -> None:
    with pytest.raises(PveError, match="unable to parse boolean option") as raised:
        parse(["--flag", "perhaps"], KINDS)
    assert raised.value.status == 400


PERL = """
use Getopt::Long qw(GetOptionsFromArray); Getopt::Long::Configure('prefix_pattern=(--|-)');
my @args = @ARGV; my $o = {};
GetOptionsFromArray(\\@args, $o, 'vmid=s', 'net0=s', 'net1=s', 'list=s@');
print join("\\0", (map { "$_=" . (ref $o->{$_} ? join(',', @{$o->{$_}}) : $o->{$_}) } sort keys %$o), "|", @args);
"""
WORD = st.sampled_from(
    ["--vmid", "-vmid", "--v", "--net0", "--net", "--NET1", "--list", "-l", "--list=x", "--net0=", "--vmid=7",
     "--", "-", "--x", "-x=1", "--=", "a", "=", "--vmid=a=b", "+v", ""]
)  # fmt: skip


@pytest.mark.skipif(not shutil.which("perl"), reason="needs perl with Getopt::Long to compare with")
@settings(max_examples=60, deadline=None)
@given(st.lists(WORD, max_size=6))
def test_agrees_with_perl(args: list[str]) -> None:
    kinds = {name: kind for name, kind in KINDS.items() if name != "flag"}
    done = subprocess.run(["perl", "-e", PERL, "--", *args], capture_output=True, text=True, check=True)
    parsed = parse(args, kinds)
    assert "".join(f"{line}\n" for line in parsed.complaints) == done.stderr
    if not parsed.complaints:
        pairs = [f"{name}={value}" for name, value in sorted(parsed.options.items())]
        assert "\0".join([*pairs, "|", *parsed.arguments]) == done.stdout
