"""The pages of the dashboards: each puts widgets together for one visit; no rules."""
