"""fastbp beside textbook loops, NumPy, scikit-learn, PyTorch, JAX and onnxruntime; README.md explains it."""
