"""What all models of transformers share: reading weights, batches, and the library that multiplies the matrices."""
