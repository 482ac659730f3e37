"""What resources/ computes, case by case and as properties."""
