"""The machine observer: encoders, the feature store and the score (MIS)."""
