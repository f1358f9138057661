"""How people see a job: a live table on a terminal, plain lines elsewhere, a summary at the end."""
