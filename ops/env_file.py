"""Write .env, the random passwords of docker compose: `make secrets`.

A password that is there stays; one that a newer docker-compose.yaml asks for is added. The standard library suffices.
"""

import os
import secrets
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parents[1] / ".env"
LOGINS = ("POSTGRES", "AIRFLOW_DB", "LTV_PIPELINE", "LTV_EXPORTER", "AIRFLOW_ADMIN", "REDIS")


def new_secrets() -> dict[str, str]:
    """Return a random value for every name that docker-compose.yaml asks for."""
    return {f"{login}_PASSWORD": secrets.token_urlsafe(24) for login in LOGINS} | {
        "AIRFLOW_SECRET_KEY": secrets.token_urlsafe(24),
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(64),
        # Fernet wants 32 bytes in base64, which end in one sign that fills up.
        "AIRFLOW_FERNET_KEY": secrets.token_urlsafe(32) + "=",
    }


def main() -> None:
    """Add to .env what is missing in it, readable by its owner alone, and say what was done."""
    known = ENV_FILE.read_text(encoding="utf-8") if ENV_FILE.exists() else ""
    names = {line.partition("=")[0].strip() for line in known.splitlines()}
    missing = {name: value for name, value in new_secrets().items() if name not in names}
    with os.fdopen(os.open(ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write("\n" if known and not known.endswith("\n") else "")
        file.writelines(f"{name}={value}\n" for name, value in missing.items())
    ENV_FILE.chmod(0o600)
    added = f"Wrote {', '.join(missing)} to .env" if missing else ".env has every password"
    print(f"{added}; the web page opens with admin and the AIRFLOW_ADMIN_PASSWORD in it.")


if __name__ == "__main__":
    main()
