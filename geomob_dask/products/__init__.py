"""The products: options, inputs, frames to frames, and a summary of each."""
