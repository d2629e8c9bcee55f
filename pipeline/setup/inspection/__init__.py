"""What a careful competitor looks at first, one question to a room. Never torch.

`inspect.look` asks them all; every answer is a frozen dataclass of plain values.
"""
