//! Decides whether a recorded history of concurrent calls is linearizable.
