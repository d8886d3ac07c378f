"""fastbp beside textbook loops, NumPy, scikit-learn and PyTorch: `python -m benchmarks`; README.md explains it."""
