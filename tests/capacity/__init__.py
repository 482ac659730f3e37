"""What capacity/ computes: scenarios, a reference to compare with, and what it must never do."""
