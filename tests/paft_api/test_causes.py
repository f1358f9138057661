from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause, cause_of_exit_code


def test_every_cause_has_facts_and_an_exit_code_of_its_own() -> None:
    codes = [facts.exit_code for facts in CAUSE_FACTS.values()]

    assert set(CAUSE_FACTS) == set(Cause)
    assert len(set(codes)) == len(codes)
    assert not {EXIT_SUCCEEDED, EXIT_STOPPED} & set(codes)


def test_the_exit_code_alone_tells_whether_to_try_again() -> None:
    for cause, facts in CAUSE_FACTS.items():
        assert facts.exit_code in (range(64, 80) if facts.retryable else range(80, 100)), cause


def test_every_cause_has_a_remedy_in_a_sentence() -> None:
    for cause, facts in CAUSE_FACTS.items():
        assert facts.remedy[0].isupper(), cause
        assert facts.remedy.endswith("."), cause


def test_exit_codes_lead_back_to_their_cause() -> None:
    assert {cause_of_exit_code(facts.exit_code) for facts in CAUSE_FACTS.values()} == set(Cause)
    assert cause_of_exit_code(1) is Cause.UNKNOWN
