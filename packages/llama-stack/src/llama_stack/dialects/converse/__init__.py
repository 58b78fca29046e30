"""Chat completions in the words of Amazon Bedrock's Converse and ConverseStream, and back.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""
