def test_a_run_ends_with_all_its_videos(stack, open_account, rows):
    account = open_account("plain", slots=5)
    run = account.run_dag("create_and_wait", 5)
    assert run.until_done() == "success"
    account.check("none")
