#!/bin/sh
# Skills from git repositories. Read in by guest-facts.sh and guest-hermes.sh, after agent.sh, guest-common.sh and
# runtime.sh; defines
#
#   skills_facts     tell of each which commit is there, what its ref stands for, and which files it has; leave the names
#                    that these will have in the agent's home in look.skills
#   skills_prepare   fetch those that are not there as they are meant
#   skills_sweep     drop those that nobody asks for any more
#
# Beside this script lies `skills`, a line a skill, fields divided by tabs: NAME URL REF COMMIT SUBDIR, `-` for an empty
# one. COMMIT is what the inventory names, or what the plan found REF to stand for. The files of a skill are in
# $project/skills/NAME/files, root's own, without git's; nothing of them is run here.
# shellcheck disable=SC2154 # agent.sh assigns the agent's names

# What git has to know of this place's network, which the runtimes that build the agent's code know already.
# shellcheck source=host_scripts/guest-package.sh
command -v package_surroundings >/dev/null || . ./guest-package.sh

skills=$project/skills
skill_most_files=2000
skill_most_bytes=67108864

skill_git() ( # SECONDS ARGUMENT...
  package_surroundings
  unset TMPDIR
  seconds=$1
  shift
  exec timeout "$seconds" git -c core.hooksPath=/dev/null -c advice.detachedHead=false "$@"
)

skills_each() { # COMMAND: with NAME URL REF COMMIT SUBDIR
  [ -f "$here/skills" ] || return 0
  while IFS='	' read -r name url ref commit subdir; do "$1" "$name" "$url" "$ref" "$commit" "$subdir"; done <"$here/skills"
}

# skill_there NAME URL SUBDIR: the commit that is there, of this repository and folder.
skill_there() {
  if printf 'url=%s\nsubdir=%s\n' "$2" "$3" | cmp -s - "$skills/$1/origin"; then cat "$skills/$1/commit"; fi
}

skills_facts() { skills_each skill_facts; }

skill_facts() {
  fact "skill.$1.commit" "$(skill_there "$1" "$2" "$5")"
  if [ "$4" = - ] && have git; then skill_meant "$1" "$2" "$3"; fi
  [ -d "$skills/$1/files" ] || return 0
  (cd "$skills/$1/files" && find . -type f -printf '%P\n') | while IFS= read -r file; do
    path=$skills/$1/files/$file
    printf 'skill.%s.file/%s=%s %s\n' "$1" "$file" "$(stat -c '%a %s' "$path")" "$(sha256sum <"$path" | cut -c 1-64)"
    echo "home:skills/$1/$file" >>"$here/look.skills"
  done
}

# A tag that is an object of its own has its commit under its name with ^{}, which then comes last.
skill_meant() { # NAME URL REF
  if ! skill_git 20 ls-remote "$2" "$3" "$3^{}" >"$here/refs" 2>"$here/refs.err" </dev/null; then
    # Its reason; advice follows, on lines of its own.
    reason=$(sed -n 's/^fatal: //p' "$here/refs.err" | head -n 1)
    fact "skill.$1.error" "${reason:-$(tail -n 1 "$here/refs.err")}"
    return 0
  fi
  found=$(awk -v ref="$3" \
    '$2 == "refs/heads/" ref || $2 == "refs/tags/" ref || $2 == "refs/tags/" ref "^{}" { found = $1 } END { print found }' \
    "$here/refs")
  if [ -n "$found" ]; then fact "skill.$1.meant" "$found"; else fact "skill.$1.error" "it has no $3"; fi
}

skills_prepare() { skills_each skill_prepare; }

skill_prepare() { # NAME URL REF COMMIT SUBDIR
  if [ "$4" = - ] || [ "$(skill_there "$1" "$2" "$5")" = "$4" ]; then return 0; fi
  echo "fetching the skill $1: $4 of $2"
  rm -rf "$here/skill"
  (umask 022 && skill_fetch "$2" "$4") >"$here/skill.log" 2>&1 </dev/null || {
    tail -n 15 "$here/skill.log" >&2
    fail "the skill $1: the commit $4 of $2 could not be fetched"
  }
  find "$here/skill" \( -name .git -prune -o -type l \) -exec rm -rf {} +
  folder=$here/skill
  [ "$5" = - ] || folder=$folder/$5
  skill_prove "$1" "$folder"
  rm -rf "$skills/.$1"
  install -d -m 0755 "$project" "$skills" "$skills/.$1"
  cp -R "$folder" "$skills/.$1/files"
  printf 'url=%s\nsubdir=%s\n' "$2" "$5" >"$skills/.$1/origin"
  echo "$4" >"$skills/.$1/commit"
  sync -f "$skills"
  rm -rf "${skills:?}/$1"
  mv -T "$skills/.$1" "$skills/$1"
  rm -rf "$here/skill"
  echo "changed: skill $1: $4 fetched"
}

# Not every server gives a commit that is asked for by its name; those are asked for everything.
skill_fetch() { # URL COMMIT
  git init -q "$here/skill" && skill_git 20 -C "$here/skill" remote add origin "$1" &&
    { skill_git 300 -C "$here/skill" fetch -q --depth 1 origin "$2" || skill_git 300 -C "$here/skill" fetch -q --tags origin; } &&
    skill_git 60 -C "$here/skill" checkout -q "$2"
}

# skill_prove NAME FOLDER: it is a skill of this name, and no more than one ever is. Its files' names become lines.
skill_prove() {
  [ -f "$2/SKILL.md" ] || fail "the skill $1: there is no SKILL.md in that folder of the repository"
  called=$(sed -n '1{/^---[[:space:]]*$/!q}; 2,/^---/s/^name:[[:space:]]*//p' "$2/SKILL.md" | head -n 1 | tr -d "\"'\r" | sed 's/[[:space:]]*$//')
  if [ -n "$called" ] && [ "$called" != "$1" ]; then fail "the skill $1: its SKILL.md calls it $called"; fi
  find "$2" -type f -print0 >"$here/skill.names"
  if [ "$(LC_ALL=C tr -dc '\1-\37\177' <"$here/skill.names" | wc -c)" != 0 ] ||
    ! tr '\0' '\n' <"$here/skill.names" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
    fail "the skill $1: there is a file in it whose name is not plain text"
  fi
  [ "$(tr -dc '\0' <"$here/skill.names" | wc -c)" -le "$skill_most_files" ] ||
    fail "the skill $1: there are more than $skill_most_files files in it"
  [ "$(du -sb "$2" | cut -f 1)" -le "$skill_most_bytes" ] || fail "the skill $1: it is larger than 64 MiB"
}

skills_sweep() {
  for each in "$skills"/*; do
    if [ -d "$each" ] && ! cut -f 1 "$here/skills" 2>/dev/null | grep -qxF "${each##*/}"; then
      rm -rf "$each"
      echo "changed: $each: removed"
    fi
  done
}
