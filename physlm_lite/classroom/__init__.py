"""For whoever teaches with the kit: hand-ins are checked, a room without a network is served, results are collected."""
