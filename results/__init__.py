"""What a run leaves behind: its record, where it is stored, and the table of its scores. A leaf like models/."""
