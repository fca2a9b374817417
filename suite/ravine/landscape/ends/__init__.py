"""Where runs ended: which feature of the landscape is under the last point of each."""
