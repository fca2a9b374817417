"""What people read: tables, figures, pages, listings, and the bar while they wait."""
