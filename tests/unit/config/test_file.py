from __future__ import annotations

from pathlib import Path

import pytest

from pierhead.config.file import ConfigurationFile
from pierhead.config.reading import LARGEST_FILE, ConfigurationError

TEXT = '[[serve]]\nprotocol = "echo"\nlisten = ["unix:./echo.sock"]\n'


def test_relative_paths_count_from_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    file = ConfigurationFile.of("site/a.toml", {"PIERHEAD_LIMITS_MAX_PEERS": "3"})
    file.enter()
    assert Path.cwd() == folder
    built = file.build()  # the name still leads there
    assert built.configuration.limits == {"max_peers": 3}
    assert file.build(built).parts[0].endpoint is built.parts[0].endpoint


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    def refused(name: Path) -> str:
        with pytest.raises(ConfigurationError) as raised:
            ConfigurationFile.of(str(name), {}).read()
        return str(raised.value)

    assert "pierhead config example > pierhead.toml" in refused(tmp_path / "none.toml")
    assert "expected a regular file" in refused(tmp_path)
    (tmp_path / "large.toml").write_bytes(b"#" * (LARGEST_FILE + 1))
    assert "large.toml: cannot be read" in refused(tmp_path / "large.toml")
    with pytest.raises(ConfigurationError, match="No such file"):
        ConfigurationFile.of(str(tmp_path / "no" / "a.toml"), {}).enter()
