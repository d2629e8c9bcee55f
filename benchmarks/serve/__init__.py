"""How many rows a second are answered over HTTP, how soon, and in how much memory?"""
