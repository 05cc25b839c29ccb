"""What people see of runs: tables, pictures and pages."""
