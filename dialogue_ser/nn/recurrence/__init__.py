"""The recurrence over a dialogue that keeps one state or more per speaker: EmotionRNN and DialogueRNN."""
