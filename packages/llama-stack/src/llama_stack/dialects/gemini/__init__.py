"""Chat completions in the words of Google's generateContent, as Gemini's API and Vertex AI speak it, and back."""
