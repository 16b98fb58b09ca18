"""`make soak`: an hour at 500 arrivals a second; does the generator's memory stay flat, and are the files whole?"""
