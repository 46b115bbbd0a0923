"""The Dagster graph and the data code behind it. `definitions` is the only place where everything meets."""
