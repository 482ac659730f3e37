"""The benches: what a review, a decision, an event and a big cluster cost, measured and written down."""
