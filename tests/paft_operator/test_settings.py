"""Settings from flags and environment."""

import pytest

from paft_operator.settings import OperatorSettings, SettingsInvalid, read_settings

IMAGE = ["--trainer-image", "paft:1"]


def test_flags_come_before_the_environment_and_that_before_defaults() -> None:
    environment = {"PAFT_OPERATOR_WORKERS": "3", "PAFT_OPERATOR_LISTEN_PORT": "9000", "OTHER": "x"}

    settings = read_settings([*IMAGE, "--workers", "5", "--namespaces", "team-a, team-b"], environment)

    assert (settings.workers, settings.listen_port, settings.namespaces) == (5, 9000, ("team-a", "team-b"))
    assert settings.resync_interval == 300.0


def test_what_is_wrong_is_told_with_flag_variable_and_value() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_settings(["--workers", "none", *IMAGE], {"PAFT_OPERATOR_LOG_LEVEL": "LOUD"})

    assert str(caught.value).splitlines() == [
        "--workers (PAFT_OPERATOR_WORKERS): Input should be a valid integer, unable to parse string as an integer, "
        "not 'none'",
        "--log-level (PAFT_OPERATOR_LOG_LEVEL): Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', not 'LOUD'",
    ]


def test_the_trainer_image_has_no_default() -> None:
    with pytest.raises(SettingsInvalid, match=r"^--trainer-image \(PAFT_OPERATOR_TRAINER_IMAGE\): Field required$"):
        read_settings([], {})


def test_lease_times_must_be_in_order() -> None:
    with pytest.raises(SettingsInvalid, match="must rise in this order"):
        read_settings([*IMAGE, "--lease-duration", "5"], {})


def test_every_field_is_described_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], {})

    told = capsys.readouterr().out
    for name, field in OperatorSettings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in told
        assert field.description is not None
        assert field.is_required() or "Default: " in field.description


def test_two_processes_of_one_host_have_two_identities() -> None:
    assert read_settings(IMAGE, {}).identity != read_settings(IMAGE, {}).identity
