# Source me: `source env.sh`. Then dagster, dg and python find this project, its environment and its home.
_medcsp="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)"
export MEDCSP_HOME="${MEDCSP_HOME:-$_medcsp/.medcsp}"
case "$MEDCSP_HOME" in "~"|"~/"*) MEDCSP_HOME="$HOME${MEDCSP_HOME#\~}" ;; esac  # a file of variables leaves it so
mkdir -p -m 700 "$MEDCSP_HOME"  # a new home is its owner's alone: what is made of patients' data lies in it
MEDCSP_HOME="$(CDPATH= cd "$MEDCSP_HOME" && pwd)"  # Dagster takes no relative one
export DAGSTER_HOME="$MEDCSP_HOME/dagster"
export DAGSTER_MODULE_NAME="pipelines.definitions"
# Without it `dagster dev` names the project to its servers twice (a file and the line above), and they hang.
export DAGSTER_CLI_DEV_USE_LEGACY_CODE_SERVER_BEHAVIOR=1
export PYTHONPATH="$_medcsp${PYTHONPATH:+:$PYTHONPATH}"
export PATH="$_medcsp/.venv/bin:$PATH"
# Keep compiled modules, whatever the shell says: without them every process compiles torch anew, 15 CPU-seconds.
export PYTHONDONTWRITEBYTECODE=
# One Polars thread for two virtual cores: they share a physical one, and batches are small. Saves 5 to 7 % of CPU time.
export POLARS_MAX_THREADS="${POLARS_MAX_THREADS:-$(( ($(getconf _NPROCESSORS_ONLN) + 1) / 2 ))}"
mkdir -p "$DAGSTER_HOME"
cmp -s "$_medcsp/dagster.yaml" "$DAGSTER_HOME/dagster.yaml" || cp "$_medcsp/dagster.yaml" "$DAGSTER_HOME/dagster.yaml"
unset _medcsp
