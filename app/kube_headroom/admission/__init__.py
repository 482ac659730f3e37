"""The decision: from an AdmissionReview to an answer. No HTTP and no client."""
