"""What makes the documentation's site: `python -m docs.builder [FOLDER]`, which is `make docs`.

pages      where each page of the repository stands in the site, and what it links to
figures    the pictures, by a browser, when they are to be made anew
commands   a page for each command, from click
names      a page for each public name, from its docstring and its example
records    the files of a run and of a job, from their models
inventories  names of other projects, stored
"""
