class Panic(BaseException):
    """As a compiled module raises it."""


raise Panic("index out of bounds")
