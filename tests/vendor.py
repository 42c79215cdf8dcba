"""Examples from the vendor's documentation."""

# The response to a query, from the vendor's page on video effects, with values in place of its comments and placeholders.
QUERY_ANSWER = """
{"code": 0, "message": "SUCCEED", "request_id": "0c1b8a2e-7f0f-4f5e-9d7e-2a6f3a1d9d11",
 "data": {"task_id": "831922345719271433", "task_status": "succeed", "task_status_msg": "",
          "task_info": {"external_task_id": "mine-1"},
          "task_result": {"videos": [{"id": "v1", "url": "https://p1.a.kwimgs.com/bs2/upload-ylab-stunt/output.mp4",
                                      "watermark_url": "https://p1.a.kwimgs.com/bs2/upload-ylab-stunt/marked.mp4"}]},
          "watermark_info": {"enabled": false}, "final_unit_deduction": "2.5",
          "created_at": 1722769557708, "updated_at": 1722769617708}}
"""
