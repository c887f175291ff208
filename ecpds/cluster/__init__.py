"""How nodes talk: the control link and the data stream. Neither their names nor their exceptions leave this room."""
