"""What happens around every call: it is traced, let in or refused, bounded in time, and its errors are told."""
