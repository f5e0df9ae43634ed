"""The shell commands that set the collector's environment variables, before a launcher starts it.

The collector reads the value of `${env:NAME}` as YAML and ends at once if that gives a type that it
doesn't know: 20 digits are a uint64, `{1: b}` is a mapping with a key that is no string. In a value
it also expands `${…}`, and reads `$$` as `$` (open-telemetry/opentelemetry-collector, confmap 1.56:
provider.go, expand.go, resolver.go). `@` begins no YAML, and what isn't YAML is text: so `@text:`
is put in front of such values, and the default configuration removes it.
"""

from __future__ import annotations

from azext_otelembed.image.reference import Digest

RECIPE = "OTELEMBED_RECIPE"
"""The variable with the first 12 hex digits of the recipe, for the resource attribute."""

# Only names that a site can have and that YAML reads as a type known to the collector stay as they
# are, because a user's own configuration may use them.
_SCRIPT = r"""
for otelembed_name in WEBSITE_SITE_NAME WEBSITE_SLOT_NAME WEBSITE_INSTANCE_ID WEBSITE_HOSTNAME; do
  eval "otelembed_rest=\${$otelembed_name-}"
  case $otelembed_rest in
    *[!-.0-9A-Za-z]* | 0[OoXx]????????????????*) ;;
    *[!0-9]*) continue ;;
    ??????????????????*) ;;
    *) continue ;;
  esac
  otelembed_text=@text:
  while :; do
    case $otelembed_rest in *\$*) ;; *) break ;; esac
    otelembed_text=$otelembed_text${otelembed_rest%%\$*}\$\$
    otelembed_rest=${otelembed_rest#*\$}
  done
  export "$otelembed_name=$otelembed_text$otelembed_rest"
done
"""[1:]


def set_environment(recipe: Digest | None) -> str:
    """The commands, each line with its end; they belong in the process that becomes the collector.

    `recipe` is the recipe's digest; with None, the variable `RECIPE` is removed.
    """
    variable = f"export {RECIPE}={recipe.short}\n" if recipe else f"unset {RECIPE}\n"
    return _SCRIPT + variable
