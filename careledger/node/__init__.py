"""The composition root: the only room that joins the rooms below it."""
