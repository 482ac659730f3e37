"""What an administrator wants: the policy model, its loading and the checks. Pure."""
