"""The hooks of .pre-commit-config.yaml: from the locked environment, without a network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PRE_COMMIT = Path(sys.executable).with_name("pre-commit")
BAD = {
    "sqlfluff": ("sql/staging/bad.sql", "select 1\n", "Statements must end with a semi-colon"),
    "squawk": ("sql/migrations/9999_bad.sql", "ALTER TABLE core.orders DROP COLUMN price;\n", "ban-drop-column"),
    "ruff": ("dags/bad.py", "import os\n", "unused-import"),
    "ruff-format": ("dags/bad.py", "x = {  }\n", "1 file would be reformatted"),
    "mypy": ("ops/bad.py", "x: int = ''\n", "Incompatible types in assignment"),
    "rules": ("sql/staging/bad.sql", "SELECT * FROM staging.orders;\n", "columns are named, one by one: no SELECT *"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "cases", "stand_ins")
    for name in ("sql", "dags", "docs", "ops", "plugins", "tests", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in (".pre-commit-config.yaml", ".sqlfluff", ".squawk.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    subprocess.run([shutil.which("git"), "init", "--quiet", folder], check=True)
    return folder


@pytest.mark.parametrize("hook", BAD)
def test_a_hook_finds_what_it_is_for(project: Path, hook: str) -> None:
    path, text, said = BAD[hook]
    (project / path).write_text(text)
    subprocess.run([shutil.which("git"), "-C", project, "add", ".pre-commit-config.yaml", path], check=True)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [PRE_COMMIT, "run", hook, "--files", path],
        cwd=project,
        # No address leads anywhere: a hook that would fetch something fails.
        env={**inherited, "PRE_COMMIT_HOME": str(project / "home"), "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout


def test_there_is_a_test_for_every_hook() -> None:
    named = re.findall(r"^ +- id: (\S+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    # make looks after the environment: the other hooks' programs come from there.
    assert named == ["environment", *(hook for hook in named if hook in BAD)]
    assert set(named) == {"environment", *BAD}
