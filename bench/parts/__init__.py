"""What is measured: each part is a module with

    measure(session)    returns the rows that go into the results, under the module's name
    show(results)       returns tables (title, columns, rows of text) of all results

and a line in PARTS of bench/options.py. What can't be measured is skipped with words.
"""
