"""Safety: shields, moderations over them, and guards that stand before and behind other APIs.

shields             ShieldRouter: which provider runs which shield, and what its answer means
moderations         ModerationService: OpenAI's moderations, answered by shields
redacted            what a violation means for the texts that were shown: blocked, redacted, or passed
verdicts            what a provider says of a content, as OpenAI's categories have it
guards              which shields stand at which API, by the run config
guarded_inference   the inference service under guards
guarded_reply       a whole reply, and
guarded_stream      a streamed one, of which nothing goes out unchecked
"""
