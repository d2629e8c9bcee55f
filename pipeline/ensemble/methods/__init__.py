"""One file per method of blending; `registry` lists them."""
