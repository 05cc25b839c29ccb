"""What becomes of experts that answer together: composition, calibration, context, novelty, joining and forgetting."""
