"""What lived costs, question by question, beside other loggers: ``python -m benchmarks``."""
