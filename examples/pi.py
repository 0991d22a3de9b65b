"""Digits of pi, one after the other, by Gibbons' spigot: the program of `make demo`.

Run: python3 pi.py N. Writes a line for every 100 digits, and at the end all of them in a file.
It knows nothing of checkpoints.
"""
import hashlib
import sys

n = int(sys.argv[1])
digits = []
q, r, t, k, m, x = 1, 0, 1, 1, 3, 3
while len(digits) < n:
    if 4 * q + r - t < m * t:
        digits.append(str(m))
        q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        if len(digits) % 100 == 0:
            print(f"{len(digits):5} digits of pi, the last ten: {''.join(digits[-10:])}",
                  flush=True)
    else:
        q, r, t, k, m, x = (q * k, (2 * q + r) * x, t * x, k + 1,
                            (q * (7 * k + 2) + r * x) // (t * x), x + 2)
digest = hashlib.sha256("".join(digits).encode()).hexdigest()
print(f"all {n} digits: sha256 {digest}", flush=True)
