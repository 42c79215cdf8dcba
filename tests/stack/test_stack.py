def test_a_run_ends_with_all_its_videos(stack, open_account, wished):
    account = open_account("plain", slots=5)
    run = account.submission("create_and_wait", 5)
    assert run.until_done() == "success"
    account.judge("none")
