"""One evaluation: the plan, which can fail before weights are loaded, and the engine, which walks it."""
