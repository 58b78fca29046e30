"""Where in Oracle's cloud, and as whom: the run config and Oracle's own config file."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

REGION = r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$"
"""It becomes part of a host name."""
DEFAULT_REGION = "us-ashburn-1"
FILE_BYTES_MAX = 1024 * 1024


class OciAuthConfig(BaseModel):
    """As whom. Without `oci_auth_type`: the keys given here, else the config file if there is one, else the machine."""

    oci_auth_type: (
        Literal["api_key", "config_file", "security_token", "instance_principal", "resource_principal"] | None
    ) = None
    """`api_key`: the four fields below. `config_file`: a profile of Oracle's config file, with a key or with a session
    token. `security_token`: the same, and the profile must have a session token. `instance_principal`: the machine that
    this server runs on. `resource_principal`: the function or container, by Oracle's environment variables."""
    oci_config_file_path: str = "~/.oci/config"
    oci_config_profile: str = "DEFAULT"
    oci_region: str | None = Field(default=None, pattern=REGION)
    """None: the profile's or the machine's, or us-ashburn-1."""
    oci_user_ocid: str | None = None
    oci_tenancy_ocid: str | None = None
    oci_fingerprint: str | None = None
    oci_private_key: SecretStr | None = None
    """The key itself, in PEM, or the path of its file."""
    oci_private_key_passphrase: SecretStr | None = None


def profile_of(path: str, name: str) -> dict[str, str]:
    """A profile of a config file. `ValueError` says, as the end of a sentence, what is wrong."""
    file = Path(path).expanduser()
    parser = configparser.ConfigParser(interpolation=None, default_section="DEFAULT")
    try:
        parser.read_string(text_of_file(file))
    except configparser.Error as error:
        raise ValueError(f"the config file {file} cannot be read: {type(error).__name__}") from None
    if name != "DEFAULT" and not parser.has_section(name):
        raise ValueError(f"the config file {file} has no profile '{name}'")
    return dict(parser.defaults() if name == "DEFAULT" else parser[name])


def text_of_file(path: Path) -> str:
    """`ValueError` for a file that cannot be read, or is too large to be what it should be."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"the file {path} is larger than {FILE_BYTES_MAX} bytes")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} cannot be read: {type(error).__name__}") from None


def text_or_file(value: str) -> str:
    """What is given as itself, or by the absolute or `~` path of a file."""
    return text_of_file(Path(value)) if value.startswith(("/", "~")) else value
