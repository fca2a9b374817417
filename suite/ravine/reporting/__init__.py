"""Tables, figures and pages: what people read; only `pages` writes."""
