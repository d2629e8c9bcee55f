"""A backbone and a competition's texts come in; the backbone, trained further on them, goes out."""
