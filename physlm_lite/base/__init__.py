"""The ground under all stations: names and values checked, files written whole, this machine. It imports nothing of ours."""
