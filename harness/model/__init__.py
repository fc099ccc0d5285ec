"""The money: an independent model of the venue in exact integers, replayed from what the chain said happened."""
